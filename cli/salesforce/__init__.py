"""`fakturo salesforce ...`: what an administrator of the org asks and is told."""
