"""What these exercises share."""

import torch

INF, NAN = torch.inf, torch.nan
