"""Images: references, the blobs of an OCI image layout, archives that are loaded and imported."""
