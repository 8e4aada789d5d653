"""Which activations there are, and what suits them."""

# name: the initializer for the weights before it
ACTIVATIONS = {
    "linear": "glorot_uniform",
    "relu": "he_uniform",
    "leaky_relu": "he_uniform",
    "tanh": "glorot_uniform",
    "sigmoid": "glorot_uniform",
    "gelu": "he_uniform",
    "gelu_tanh": "he_uniform",
    "silu": "he_uniform",
    "softplus": "glorot_uniform",
}
# Of these the slope cannot be told from the value: it is kept from the forward pass.
KEEPS_SLOPE = dict.fromkeys(ACTIVATIONS, False) | dict.fromkeys(
    ("gelu", "gelu_tanh", "silu", "softplus"), True
)
