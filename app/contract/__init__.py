"""What other services build on, for machines: JSON Schemas of all messages and an AsyncAPI document."""
