"""The flights year: a real year of usage with its contracts and payments, for the demo, the storm and the tests."""
