"""All methods on the same scans, and the parts of Wu et al. one by one."""
