"""Directions: find a concept in the activations, prove it, erase it, steer with it."""

from residuum.directions.direction import Direction
from residuum.directions.examples import Examples
from residuum.directions.finding import direction
from residuum.directions.harvesting import Activations, harvest
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.origin import Origin
from residuum.directions.splitting import Split

__all__ = [
    "Activations",
    "DifferenceOfMeans",
    "Direction",
    "Examples",
    "Origin",
    "Split",
    "direction",
    "harvest",
]
