"""What lies on disk for containers: unpacked layer chains (snapshots), and the writable layer of each container."""
