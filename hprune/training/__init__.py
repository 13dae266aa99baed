"""One fine-tuning: the LightningModule, the recorder, and the run that puts them together."""
