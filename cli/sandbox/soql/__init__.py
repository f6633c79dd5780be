"""SOQL: parsed, and evaluated over the sandbox org's records."""
