"""The error of N product steps for two coordinates in closed form, on every grid."""
