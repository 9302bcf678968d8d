"""Landmarks by displacement: every patch of an image says how far each landmark is and whether it is in the patch.

After Noothout et al., "Deep learning-based regression and classification for automatic landmark localization in medical
images", IEEE Transactions on Medical Imaging 39 (2020).  Any number of landmarks, 2-D and 3-D, any spacing.
"""
