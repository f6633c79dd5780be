"""`fakturo preview ACCOUNT`: the next invoice as it stands now and, at the present pace, at its period's end.

Flow      what is to be billed next (consumers/invoicing), with the usage so far (cli/history) in place of final
          statements -> outlook: the same bill, made twice, with discounts, tax and credit as they would be -> command.
Changes   nothing: the transaction in which it looks is rolled back.
"""
