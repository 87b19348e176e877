"""What learns: backbone, head, losses, optimizer groups, the LightningModule."""
