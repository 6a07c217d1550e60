"""Topics on which a comparison and the person at the operator's page meet, beside the nodes."""

TRIAL = "compare/state"
"""Which trial it is and what the person has to do (DiagnosticStatus, latched)."""
REFERENCE = "compare/reference"
"""How the start has to look (Image, latched)."""
VERDICT = "operator_node/verdict"
"""How a trial ended, as the person says on the page (DiagnosticStatus)."""
