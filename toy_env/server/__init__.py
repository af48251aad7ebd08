"""A server that CARLA's own client connects to: the toy's kernel behind CARLA's network protocol, without a GPU.

transport   bytes in and out            layouts   what stands where on the wire, by version
methods     what can be called          world     what exists and how it moves
sensors     what is measured            maps, blueprints   what can be loaded and spawned
"""
