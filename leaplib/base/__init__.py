"""What every room stands on: errors, files, results on disk, places, devices, metrics, progress."""
