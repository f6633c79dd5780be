"""What the golden cases must come to, worked out by hand: documents, what came off them, their lives, books, refusals.

Form      a document: account, revision, start of its period, subtotal, tax, total, lines (product, quantity, amount) in
          the order of the document. A credit note is a document too; its amounts are negative.
Rule      a new case is worked out here first; only then are its expected files made, and compared with this.
"""

Document = tuple[str, int, str, int, int, int, list[tuple[str, str, int]]]

DOCUMENTS: dict[str, list[Document]] = {
    # March from 28 February 23:00 UTC to 31 March 22:00 UTC: 60 + 150.5 + 39.5 calls; 100 at 2.00 and 150 at 1.50.
    # 5 seats for 17 of 31 days: 5 x 300 x 17/31 = 822.5806...; 25 % of 1,247.58 is 311.895, so 311.90.
    "one_month_in_copenhagen": [
        (
            "A-100", 1, "2026-02-28T23:00:00Z", 1_247_58, 311_90, 1_559_48,
            [("CALLS", "250", 425_00), ("SEAT", "5", 822_58)],
        ),
        ("A-200", 1, "2026-02-28T23:00:00Z", 600_00, 150_00, 750_00, [("CALLS", "0", 0), ("SEAT", "2", 600_00)]),
    ],
    # 40 + 80 + 30 calls in May, two of them before the contract; then 3 seats for 2 of 31 days, known in June:
    # 3 x 300 x 2/31 = 58.0645..., tax 14.515. A-200: contract in June, from 15 May on: 10 calls in May, 25 in June.
    "contract_after_usage": [
        ("A-100", 1, "2026-04-30T22:00:00Z", 275_00, 68_75, 343_75, [("CALLS", "150", 275_00)]),
        ("A-100", 2, "2026-04-30T22:00:00Z", 58_06, 14_52, 72_58, [("SEAT", "3", 58_06)]),
        ("A-100", 1, "2026-05-31T22:00:00Z", 0, 0, 0, [("CALLS", "0", 0)]),
        ("A-200", 1, "2026-04-30T22:00:00Z", 20_00, 5_00, 25_00, [("CALLS", "10", 20_00)]),
        ("A-200", 1, "2026-05-31T22:00:00Z", 50_00, 12_50, 62_50, [("CALLS", "25", 50_00)]),
    ],
    # 20 (once, though it came four times) + 5; the 900 came on 2 July, after the close: 100 at 2.00 and 825 at 1.50 are
    # 1,437.50, less the 50.00 billed; tax 359.375 in all, less 12.50. Nothing is billed after June, so at once.
    "late_and_repeated": [
        ("A-100", 1, "2026-05-31T22:00:00Z", 50_00, 12_50, 62_50, [("CALLS", "25", 50_00)]),
        ("A-100", 2, "2026-05-31T22:00:00Z", 1_387_50, 346_88, 1_734_38, [("CALLS", "900", 1_387_50)]),
    ],
    # Thirteen good events of 10 calls: 100 at 2.00 and 30 at 1.50.
    "bad_input": [
        ("A-100", 1, "2026-05-31T22:00:00Z", 245_00, 61_25, 306_25, [("CALLS", "130", 245_00)]),
    ],
    # March 2026 has 31 x 24 - 1 = 743 hours, the 29th has 23. At 743.00 a line costs 1.00 an hour: to the end of the
    # 29th 743 - 2 x 24 = 695; from the 29th on 23 + 2 x 24 = 71; on the 29th alone 23. By days, 310.00 / 31 = 10.00.
    # Calls at 2.00 to the end of the 29th: 1 + 2 + 4 + 8 + 16 = 31 (02:30+01:00 and 03:30+02:00 are one instant, two
    # events); at 3.00 from 30 March 00:00+02:00 on: 32 + 64 = 96. The 128 are of 1 April. Tax 287.25.
    "clocks_go_forward": [
        (
            "A-100", 1, "2026-02-28T23:00:00Z", 1_149_00, 287_25, 1_436_25,
            [
                ("CALLS", "31", 62_00), ("CALLS", "96", 288_00), ("LINE", "1", 695_00), ("LINE", "1", 71_00),
                ("LINE", "1", 23_00), ("SEAT", "1", 10_00),
            ],
        ),
    ],
    # October 2026 has 31 x 24 + 1 = 745 hours, the 25th has 25. At 745.00: to the end of the 25th 745 - 6 x 24 = 601;
    # from the 25th on 25 + 6 x 24 = 169; on the 25th alone 25. Calls at 2.00 to the end of the 25th, both 02:30s among
    # them: 1 + 2 + 4 + 8 = 15; at 3.00 from the 26th on: 16 + 32 = 48. The 64 are of November. Tax 244.75.
    "clocks_go_back": [
        (
            "A-100", 1, "2026-09-30T22:00:00Z", 979_00, 244_75, 1_223_75,
            [
                ("CALLS", "15", 30_00), ("CALLS", "48", 144_00), ("LINE", "1", 601_00), ("LINE", "1", 169_00),
                ("LINE", "1", 25_00), ("SEAT", "1", 10_00),
            ],
        ),
    ],
    # A-100, from 29 February 2024: a year of 365 days to 28 February 2025, 365.00; the item that ends on 31 March
    # 2 + 30 = 32 days of them, 32.00. Seats from the 10th on: 20 of February's 29 days, 200.00; 1 + 2 + 4 calls at
    # 2.00, the last at 23:30 on the 29th.
    # A-200, anchored to 29 February 2020: from 28 February 2023 to 29 February 2024 are 366 days: 365.00, and
    # 365 x 32/366 = 31.9125... for the item that ends on 31 March; tax 99.2275. Then from 29 February 2024 on.
    "leap_day": [
        (
            "A-100", 1, "2024-02-28T23:00:00Z", 397_00, 99_25, 496_25,
            [("YEAR", "1", 365_00), ("YEAR", "1", 32_00)],
        ),
        ("A-100", 1, "2024-01-31T23:00:00Z", 214_00, 53_50, 267_50, [("CALLS", "7", 14_00), ("SEAT", "1", 200_00)]),
        ("A-100", 1, "2025-02-27T23:00:00Z", 365_00, 91_25, 456_25, [("YEAR", "1", 365_00)]),
        (
            "A-200", 1, "2023-02-27T23:00:00Z", 396_91, 99_23, 496_14,
            [("YEAR", "1", 365_00), ("YEAR", "1", 31_91)],
        ),
        ("A-200", 1, "2024-02-28T23:00:00Z", 365_00, 91_25, 456_25, [("YEAR", "1", 365_00)]),
        ("A-200", 1, "2025-02-27T23:00:00Z", 365_00, 91_25, 456_25, [("YEAR", "1", 365_00)]),
    ],
    # In advance from 31 January: to 28 February, to 31 March (31 days), to 30 April, to 31 May (31 days), of which the
    # order's last 11, 30 April to 10 May, are 110.00. The item of 15 March pays 16 of 31 days, 160.00, then with the
    # other one. A-200's calls: 5 to the last second of 27 February, 7 from the 28th on, at 2.00, in arrears.
    "month_end_anchor": [
        ("A-100", 1, "2026-01-30T23:00:00Z", 310_00, 77_50, 387_50, [("FEE", "1", 310_00)]),
        ("A-100", 1, "2026-02-27T23:00:00Z", 310_00, 77_50, 387_50, [("FEE", "1", 310_00)]),
        ("A-100", 1, "2026-03-14T23:00:00Z", 160_00, 40_00, 200_00, [("FEE", "1", 160_00)]),
        ("A-100", 1, "2026-03-30T22:00:00Z", 620_00, 155_00, 775_00, [("FEE", "1", 310_00), ("FEE", "1", 310_00)]),
        ("A-100", 1, "2026-04-29T22:00:00Z", 220_00, 55_00, 275_00, [("FEE", "1", 110_00), ("FEE", "1", 110_00)]),
        ("A-200", 1, "2026-01-30T23:00:00Z", 10_00, 2_50, 12_50, [("CALLS", "5", 10_00)]),
        ("A-200", 1, "2026-02-27T23:00:00Z", 14_00, 3_50, 17_50, [("CALLS", "7", 14_00)]),
    ],
    # On 10 June A-100 moves from New York to Tokyo, A-200 from Tokyo to New York; June ends for both where they were
    # when it began. A-100's July begins with its June's end, 1 July 04:00 UTC, 13 hours into Tokyo's July: a line costs
    # 744 - 13 = 731 of 744 hours. Calls: 1 + 16 in June, 2 + 4 in July; the 8 are of August.
    # A-200's July begins with its June's end, 30 June 15:00 UTC, 13 hours before New York's: they cost no line twice,
    # and their 2 + 4 calls are July's with the 8 + 16 after them; the 32 are of August. Tax 10 %.
    "moving_zone": [
        ("A-100", 1, "2026-06-01T04:00:00Z", 778_00, 77_80, 855_80, [("CALLS", "17", 34_00), ("LINE", "1", 744_00)]),
        ("A-100", 1, "2026-07-01T04:00:00Z", 743_00, 74_30, 817_30, [("CALLS", "6", 12_00), ("LINE", "1", 731_00)]),
        ("A-200", 1, "2026-05-31T15:00:00Z", 746_00, 74_60, 820_60, [("CALLS", "1", 2_00), ("LINE", "1", 744_00)]),
        ("A-200", 1, "2026-06-30T15:00:00Z", 804_00, 80_40, 884_40, [("CALLS", "30", 60_00), ("LINE", "1", 744_00)]),
    ],
    # A-100 (Denmark, 25 %), coupon of 10 % on two invoices. 15 December: 17 of 365 days of 1,200.00 = 55.8904...; off
    # 5.589, so 50.30; tax 12.575, so 62.88. 1 January: the quarter 300.00 and 10 calls at 2.00 by the old prices, 2027
    # by the new one, 1,260.00: 1,580.00 - 158.00 = 1,422.00; tax 355.50. 1 February: 20 calls at 3.00.
    # A-200 (Germany, with a VAT id): 2 x 300.00 + 1,260.00, reverse charge.
    "year_end": [
        ("A-100", 1, "2026-12-14T23:00:00Z", 50_30, 12_58, 62_88, [("HOSTING", "1", 55_89)]),
        (
            "A-100", 1, "2026-09-30T22:00:00Z", 1_422_00, 355_50, 1_777_50,
            [("CALLS", "10", 20_00), ("HOSTING", "1", 1_260_00), ("LICENCE", "1", 300_00)],
        ),
        ("A-100", 1, "2026-12-31T23:00:00Z", 60_00, 15_00, 75_00, [("CALLS", "20", 60_00)]),
        (
            "A-200", 1, "2026-09-30T22:00:00Z", 1_860_00, 0, 1_860_00,
            [("HOSTING", "1", 1_260_00), ("LICENCE", "2", 600_00)],
        ),
    ],
    # March at 300.10, tax 75.025. In April 250.00 from 16 March on is learned: 300.10 x 15/31 = 145.2096...,
    # 250 x 16/31 = 129.0322...; they leave March 274.24 and its tax 68.56, so 75.03 - 68.56 = 6.47 come back; with
    # April's 62.50 that is 56.03 (25 % of the 224.14 on the document would be 56.04).
    # 10 calls on the 30th, 20 on 31 March, at 2.00; then 10 % off from 31 March on: 20.00 and 36.00 for 60.00.
    # April has none, so 4.00 come back, with 15.00 - 14.00 of tax, on a credit note.
    "late_price": [
        ("A-100", 1, "2026-02-28T23:00:00Z", 300_10, 75_03, 375_13, [("SEAT", "1", 300_10)]),
        (
            "A-100", 1, "2026-03-31T22:00:00Z", 224_14, 56_03, 280_17,
            [("SEAT", "-1", -300_10), ("SEAT", "1", 145_21), ("SEAT", "1", 129_03), ("SEAT", "1", 250_00)],
        ),
        ("A-200", 1, "2026-02-28T23:00:00Z", 60_00, 15_00, 75_00, [("CALLS", "30", 60_00)]),
        (
            "A-200", 1, "2026-03-31T22:00:00Z", -4_00, -1_00, -5_00,
            [("CALLS", "-30", -60_00), ("CALLS", "10", 20_00), ("CALLS", "20", 36_00), ("CALLS", "0", 0)],
        ),
    ],
    # May: 3, 2 and 1 seats at 300.00. 100.00 of A-100's are credited with their tax, 225.00 - 200.00. A-200's is void
    # and issued again to another name.
    "life_of_an_invoice": [
        ("A-100", 1, "2026-04-30T22:00:00Z", 900_00, 225_00, 1_125_00, [("SEAT", "3", 900_00)]),
        ("A-100", 1, "2026-04-30T22:00:00Z", -100_00, -25_00, -125_00, [("SEAT", "-1", -100_00)]),
        ("A-200", 1, "2026-04-30T22:00:00Z", 600_00, 150_00, 750_00, [("SEAT", "2", 600_00)]),
        ("A-200", 2, "2026-04-30T22:00:00Z", 600_00, 150_00, 750_00, [("SEAT", "2", 600_00)]),
        ("A-300", 1, "2026-04-30T22:00:00Z", 300_00, 75_00, 375_00, [("SEAT", "1", 300_00)]),
    ],
}  # fmt: skip

OFF: dict[str, dict[str, tuple[int, int]]] = {
    # Prepaid 100.00: 62.88 in December, the other 37.12 in January.
    "year_end": {
        "A-100 2026-12-15": (-5_59, 62_88),
        "A-100 2027-01-01": (-158_00, 37_12),
        "A-100 2027-02-01": (0, 0),
        "A-200 2027-01-01": (0, 0),
    },
}
"""Case -> account and date of issue -> discounts and prepaid credit."""

LIVES: dict[str, list[tuple[str, str]]] = {
    "one_month_in_copenhagen": [("A-100", "paid"), ("A-200", "paid")],
    "contract_after_usage": [("A-100", "paid")],  # the document over nothing
    "year_end": [("A-100", "paid")],  # December's, by prepaid credit
    # A-300's is paid after all, when it had been given up.
    "life_of_an_invoice": [("A-100", "paid"), ("A-200", "voided"), ("A-300", "uncollectible"), ("A-300", "paid")],
}
"""Case -> what became of its documents, by account, in order."""

BALANCES: dict[str, dict[str, int]] = {
    # Paid: 1,559.48 + 1,000.00, of which 250.00 is more than was owed.
    "one_month_in_copenhagen": {
        "1020": 2_559_48, "1200 A-100": 0, "1200 A-200": 0, "2100": -461_90, "2300 A-200": -250_00, "4000": -1_847_58,
    },
    "contract_after_usage": {"1200 A-100": 416_33, "1200 A-200": 87_50, "2100": -100_77, "4000": -403_06},
    "late_and_repeated": {"1200 A-100": 1_796_88, "2100": -359_38, "4000": -1_437_50},
    "bad_input": {"1020": 150_00, "1200 A-100": 156_25, "2100": -61_25, "4000": -245_00},
    "clocks_go_forward": {"1200 A-100": 1_436_25, "2100": -287_25, "4000": -1_149_00},
    "clocks_go_back": {"1200 A-100": 1_223_75, "2100": -244_75, "4000": -979_00},
    # 496.25 + 267.50 + 456.25; A-200: 496.14 + 2 x 456.25; net 397.00 + 214.00 + 396.91 + 3 x 365.00.
    "leap_day": {"1200 A-100": 1_220_00, "1200 A-200": 1_408_64, "2100": -525_73, "4000": -2_102_91},
    # 387.50 + 387.50 + 200.00 + 775.00 + 275.00, and 12.50 + 17.50.
    "month_end_anchor": {"1200 A-100": 2_025_00, "1200 A-200": 30_00, "2100": -411_00, "4000": -1_644_00},
    "moving_zone": {"1200 A-100": 1_673_10, "1200 A-200": 1_705_00, "2100": -307_10, "4000": -3_071_00},
    # A-100 owes 1,777.50 - 37.12 + 75.00; its 100.00 were received, granted (2300 to 2320) and used. Revenue is gross,
    # 55.89 + 1,580.00 + 60.00 + 1,860.00; the coupon took 5.59 + 158.00.
    "year_end": {
        "1020": 100_00, "1200 A-100": 1_815_38, "1200 A-200": 1_860_00, "2100": -383_08, "2300 A-100": 0,
        "2320 A-100": 0, "4000": -3_555_89, "4090": 163_59,
    },
    # 375.13 + 280.17; 75.00 less the credit note's 5.00, of which 4.00 net.
    "late_price": {
        "1200 A-100": 655_30, "1200 A-200": 70_00, "2100": -145_06, "4000": -584_24, "4095": 4_00,
    },
    # A-100 owed 1,125.00, was credited 125.00 and paid 1,000.00. A-300's 375.00 were given up and came after all.
    "life_of_an_invoice": {
        "1020": 1_375_00, "1200 A-100": 0, "1200 A-200": 750_00, "1200 A-300": 0, "2100": -425_00, "4000": -1_800_00,
        "4095": 100_00, "6100": 0,
    },
}  # fmt: skip

REASONS: dict[str, dict[str, list[str]]] = {
    "late_and_repeated": {"billing.usage": ["identity_conflict"]},
    "bad_input": {
        "sf.cdc.Account": ["malformed_json"],
        "billing.usage": [
            "malformed_json",  # cut off
            "malformed_json",  # no text
            "unknown_shape",  # no source
            "unknown_shape",  # data is a list
            "float_amount",
            "invalid_time",  # no zone
            "malformed_json",  # the literal NaN is no JSON
            "not_a_number",  # the text "NaN"
            "invalid_time",  # "yesterday"
            "value_missing",
            "identity_conflict",
            "unknown_shape",  # no value at all
        ],
        "billing.payments": ["float_amount", "unknown_currency", "invalid_amount", "unknown_type"],
    },
    "life_of_an_invoice": {
        "billing.requests": [
            "refused_by_book",  # 800.01 of a line of which 800.00 are left
            "refused_by_book",  # void, but it is paid
        ]
    },
}
