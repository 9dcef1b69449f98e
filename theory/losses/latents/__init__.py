"""The latents of a loss: the bias of a finite batch, what is charged, stratified latents."""
