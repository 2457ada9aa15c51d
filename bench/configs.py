"""The configurations that are measured, by name; micro and tiny are the program's presets."""

CONFIGS = {
    "micro": dict(layers=4, heads=4, embd=128, block=64, batch=12),
    "micro_b32": dict(layers=4, heads=4, embd=128, block=64, batch=32),
    "t128": dict(layers=4, heads=4, embd=128, block=128, batch=12),
    "t128_b32": dict(layers=4, heads=4, embd=128, block=128, batch=32),
    "tiny": dict(layers=6, heads=6, embd=384, block=256, batch=4),
}

# On a GPU: the program's presets with batches that fill it, but for micro, which is about launches.
GPU_CONFIGS = {
    "micro": dict(layers=4, heads=4, embd=128, block=64, batch=12, vocab=6000),
    "tiny": dict(layers=6, heads=6, embd=384, block=256, batch=64, vocab=6000),
    "small": dict(layers=8, heads=8, embd=512, block=512, batch=64, vocab=8000),
    "gpt2": dict(layers=12, heads=12, embd=768, block=1024, batch=32, vocab=8192),
    "gpt2_50k": dict(layers=12, heads=12, embd=768, block=1024, batch=32, vocab=50304),
}
