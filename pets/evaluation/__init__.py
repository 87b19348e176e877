"""What the network learned: predictions, interpretation, figures."""
