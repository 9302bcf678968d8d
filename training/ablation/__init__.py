"""The comparisons of Qin et al. on our data: what each part of their network is worth, all else being equal."""
