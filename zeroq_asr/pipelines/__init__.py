"""The operations of the product, composed of all other packages."""
