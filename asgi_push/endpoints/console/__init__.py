"""The live console: a page for operators, fed by this package's own push."""
