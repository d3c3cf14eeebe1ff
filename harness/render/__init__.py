"""Results as a person reads them: terminal tables, the HTML report, figures."""
