"""What many rooms need and no room owns: random streams, quadrature, folds over seeds."""
