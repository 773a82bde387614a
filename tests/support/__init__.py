"""What many tests share: real servers, published vectors."""
