"""Random models of all layers that are read, as Keras itself makes them; their weights, too."""

import os

os.environ["KERAS_BACKEND"] = "numpy"  # judges without TensorFlow; read when it is imported

import json

import keras
import numpy as np
from keras import layers


def weights_of(model):
    return {variable.path: np.asarray(variable) for variable in model.weights}


def json_of(model):
    return json.loads(model.to_json())


def randomised(model, rng):
    """All weights random, a normalisation's among them, of a size that keeps activations near 1."""
    for variable in model.weights:
        shape = variable.shape
        if variable.path.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.normal(0, 0.2, shape)
        else:
            value = rng.normal(0, 1.2 / np.sqrt(np.prod(shape[:-1])), shape)
        variable.assign(value.astype(np.float32))
    return model


def random_model(rng, samples=32, depth=5):
    """A functional model of `depth` pieces, with branches."""
    keras.utils.clear_session()
    channels = int(rng.choice([1, 1, 2]))
    given = keras.Input((samples // channels, channels))
    x = given
    for _ in range(depth):
        pieces = [conv, conv, transposed, pool, residual, joined, normalised, padded, pointwise, activated]
        x = pieces[int(rng.integers(len(pieces)))](rng, x)
        if x.shape[1] > 40:
            x = layers.MaxPooling1D(2)(x)
    head = int(rng.integers(5))
    if head == 0:
        x = layers.GlobalAveragePooling1D()(x)
    elif head == 1:
        x = layers.GlobalMaxPooling1D(keepdims=bool(rng.integers(2)))(x)
    elif head == 2:
        x = layers.Dropout(0.3)(layers.Flatten()(x))
        x = layers.Dense(6, activation=activation(rng))(x)
    elif head == 3:
        x = layers.Reshape((-1,))(x)
    if head != 4 or rng.integers(2):
        x = layers.Dense(3)(x)
    return randomised(keras.Model(given, x), rng)


def activation(rng):
    leaky = layers.LeakyReLU(negative_slope=2.0 ** -int(rng.integers(1, 6)))
    return [None, "relu", leaky, "linear"][int(rng.integers(4))]


def conv(rng, x):
    length, channels = x.shape[1:]
    taps = int(rng.integers(1, min(5, length) + 1))
    how = str(rng.choice(["valid", "same", "causal"]))
    options = {"strides": int(rng.integers(1, 3))}
    if how != "valid" and rng.integers(2):
        options = {"dilation_rate": int(rng.integers(1, 4))}
    filters = int(rng.integers(1, 4)) * 2
    options["groups"] = 2 if channels % 2 == 0 and rng.integers(3) == 0 else 1
    options["use_bias"] = bool(rng.integers(4))
    return layers.Conv1D(filters, taps, padding=how, activation=activation(rng), **options)(x)


def transposed(rng, x):
    how = str(rng.choice(["valid", "same"]))
    taps, stride = (int(one) for one in rng.integers(1, 5, 2))
    return layers.Conv1DTranspose(int(rng.integers(1, 5)), taps, stride, padding=how, activation=activation(rng))(x)


def pool(rng, x):
    size, stride = min(int(rng.integers(1, 4)), x.shape[1]), int(rng.integers(1, 3))
    if rng.integers(2):
        return layers.MaxPooling1D(size, stride, padding=str(rng.choice(["valid", "same"])))(x)
    return layers.AveragePooling1D(size, stride)(x)


def like(rng, x):
    return layers.Conv1D(x.shape[2], 3, padding="same", activation=activation(rng))(x)


def residual(rng, x):
    others = [like(rng, x) for _ in range(int(rng.integers(1, 3)))]
    terms = [x, *others] if rng.integers(2) else [*others, x]
    return layers.ReLU()(layers.Add()(terms)) if rng.integers(2) else layers.Add()(terms)


def joined(rng, x):
    parts = [like(rng, x), like(rng, x)]
    if rng.integers(2):
        parts.append(x)
    return layers.Concatenate()(parts)


def normalised(rng, x):
    options = {"scale": bool(rng.integers(4)), "center": bool(rng.integers(4))}
    return layers.BatchNormalization(**options)(x)


def padded(rng, x):
    return layers.ZeroPadding1D((int(rng.integers(3)), int(rng.integers(3))))(x)


def pointwise(rng, x):
    return layers.Dense(int(rng.integers(1, 5)), activation=activation(rng))(x)


def activated(rng, x):
    made = [
        layers.ReLU(),
        layers.LeakyReLU(negative_slope=0.125),
        layers.Activation("relu"),
        layers.SpatialDropout1D(0.2),
    ]
    return made[int(rng.integers(len(made)))](x)
