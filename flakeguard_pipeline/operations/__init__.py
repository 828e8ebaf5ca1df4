"""What assets and commands call: read, compute, write, repository by repository."""
