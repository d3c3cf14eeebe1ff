"""From finished runs to answers: tables, comparison, report, reproduction, models taken away."""
