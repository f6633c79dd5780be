"""Price books as code: `fakturo catalog check | diff | publish FILE`.

Flow      reading (YAML with the line of every path) -> engine/catalog -> check | diff | publish -> `billing.catalog` ->
          contracts agent, whose book of price lists says what holds.
Files     reading, check, holding (the list that holds, and the customers that a change would touch), diff, publish.
"""
