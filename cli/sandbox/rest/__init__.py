"""The sandbox org's REST and SOAP side."""
