"""What bench/run is made of. Python 3.9's standard library only."""
