"""The configurations that are measured, by name; micro and tiny are the program's presets."""

CONFIGS = {
    "micro": dict(layers=4, heads=4, embd=128, block=64, batch=12),
    "micro_b32": dict(layers=4, heads=4, embd=128, block=64, batch=32),
    "t128": dict(layers=4, heads=4, embd=128, block=128, batch=12),
    "t128_b32": dict(layers=4, heads=4, embd=128, block=128, batch=32),
    "tiny": dict(layers=6, heads=6, embd=384, block=256, batch=4),
}
