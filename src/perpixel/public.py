"""Where the public names come from; `perpixel/__init__.py` lists them and says when it is read."""

from perpixel.data.check.folder import check as check
from perpixel.data.dataset import Dataset as Dataset
from perpixel.data.layouts import open_dataset as open_dataset
from perpixel.delivery.explain.everything import Explanation as Explanation
from perpixel.delivery.explain.everything import explain as explain
from perpixel.errors import PerpixelError as PerpixelError
from perpixel.inference.evaluation import evaluate as evaluate
from perpixel.inference.predictor import Model as Model
from perpixel.inference.predictor import load as load
from perpixel.inference.segmentation import Segmentation as Segmentation
from perpixel.labels import LabelSpace as LabelSpace
from perpixel.metrics import Scores as Scores
from perpixel.preprocessing import Preprocessing as Preprocessing
from perpixel.score_map import ScoreMap as ScoreMap
from perpixel.training import TrainConfig as TrainConfig
from perpixel.training import TrainResult as TrainResult
from perpixel.training import resume as resume
from perpixel.training import train as train
