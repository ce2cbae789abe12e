"""Minibatch discrimination (Salimans et al. 2016)."""

import torch
from torch import Tensor, nn


class MinibatchDiscrimination(nn.Module):
    """Add to the features of each sample how similar it is to the samples of its batch.

    A discriminator that sees samples one by one cannot tell that a generator makes the same sample
    again and again; with these features it can (Salimans et al. 2016, "Improved Techniques for
    Training GANs", section 3.2). For samples i and j of a batch of n, with features f, (n, A),
    and a learned tensor T, (A, B, C):

    - M_i = f_i T, (B, C);
    - c_b(i, j) = exp(-‖M_ib - M_jb‖₁);
    - o_b(i) = Σ_j c_b(i, j) / n, (B,).

    The output is f beside o. The paper has the sum over j; the mean does not depend on n.

    Parameters
    ----------
    n_features : int
        A, the number of features of a sample.
    n_kernels : int
        B, the number of features that are added.
    n_dimensions : int
        C, the number of dimensions in which a kernel compares samples.
    """

    def __init__(self, n_features: int, n_kernels: int, n_dimensions: int) -> None:
        super().__init__()
        shape = n_features, n_kernels * n_dimensions
        self.tensor = nn.Parameter(torch.randn(shape) / n_features**0.5)
        self.shape = n_kernels, n_dimensions

    def forward(self, features: Tensor) -> Tensor:
        """Return (n, A + B) from (n, A)."""
        projected = (features @ self.tensor).unflatten(-1, self.shape)
        distances = (projected.unsqueeze(1) - projected).abs().sum(-1)
        return torch.cat((features, torch.exp(-distances).mean(1)), -1)
