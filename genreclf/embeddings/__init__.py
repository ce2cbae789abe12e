"""Pretrained networks: front-ends, files, running a network on the samples of an excerpt."""
