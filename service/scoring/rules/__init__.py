"""The scoring rules (计分规则), one module each."""
