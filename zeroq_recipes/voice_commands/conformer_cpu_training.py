"""A faster training forward pass of NeMo's ConformerEncoder on a CPU: same parameters, same formulas, with gradients.

All values are [B, T, C] in memory, which is torch's channels-last layout of [B, C, 1, T]. Products run in ``dtype``
(bfloat16 halves the time on processors with AVX512-BF16); residuals, softmax and LayerNorms run in float32.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroq_recipes.voice_commands.speedups import depthwise


def encode(encoder: Any, mel: Tensor, frames: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return encoded frames float32 [B, T', d_model] and lengths int64 [B] for mel [B, features, T] and frames [B].

    No dropout is applied. The encoder must have batch norm, relative positions and unlimited context.
    """
    x, lengths = _subsample(encoder.pre_encode, mel, frames, dtype)
    if encoder.xscale:
        x = x * encoder.xscale
    length = x.shape[1]
    table = encoder.pos_enc.pe
    centre = table.shape[1] // 2
    positions = table[0, centre - length + 1 : centre + length].to(dtype)  # distance T'-1 first, -(T'-1) last
    padding = torch.arange(length)[None, :] >= lengths[:, None]
    for layer in encoder.layers:
        x = x + 0.5 * _feed_forward(layer.feed_forward1, _norm(layer.norm_feed_forward1, x, dtype))
        x = x + _attention(layer.self_attn, _norm(layer.norm_self_att, x, dtype), positions, padding)
        x = x + _convolution(layer.conv, _norm(layer.norm_conv, x, dtype), padding)
        x = x + 0.5 * _feed_forward(layer.feed_forward2, _norm(layer.norm_feed_forward2, x, dtype))
        x = F.layer_norm(x, x.shape[-1:], layer.norm_out.weight, layer.norm_out.bias, layer.norm_out.eps)
    return x, lengths


def _norm(norm: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps).to(dtype)


def _linear(module: Any, x: Tensor) -> Tensor:
    """Apply a Linear or a Conv1d of kernel 1 in the dtype of x."""
    bias = None if module.bias is None else module.bias.to(x.dtype)
    return F.linear(x, module.weight.flatten(1).to(x.dtype), bias)


def _feed_forward(module: Any, x: Tensor) -> Tensor:
    return _linear(module.linear2, F.silu(_linear(module.linear1, x)))


def _attention(module: Any, x: Tensor, positions: Tensor, padding: Tensor) -> Tensor:
    """Return softmax(((q + u) k' + shift((q + v) p')) / sqrt(d)) v; see NeMo's RelPositionMultiHeadAttention."""
    batch, length, width = x.shape
    heads, size = module.h, module.d_k
    parts = (module.linear_q, module.linear_k, module.linear_v)
    weight = torch.cat([part.weight for part in parts]).to(x.dtype)
    bias = torch.cat([part.bias for part in parts]).to(x.dtype)
    q, k, v = F.linear(x, weight, bias).view(batch, length, 3, heads, size).permute(2, 0, 3, 1, 4)
    p = F.linear(positions, module.linear_pos.weight.to(x.dtype)).view(-1, heads, size).permute(1, 2, 0)
    content = (q + module.pos_bias_u.to(x.dtype)[:, None]) @ k.transpose(-2, -1)
    place = (q + module.pos_bias_v.to(x.dtype)[:, None]).transpose(0, 1).reshape(heads, batch * length, size) @ p
    place = place.view(heads, batch, length, 2 * length - 1).transpose(0, 1)
    # Row i needs the distances i, i-1, ..., i-T+1, which are the columns T-1-i to 2T-2-i.
    place = F.pad(place, (1, 0)).reshape(batch, heads, 2 * length, length)[:, :, 1:]
    place = place.reshape(batch, heads, length, 2 * length - 1)[..., :length]
    scores = (content + place).float() / math.sqrt(size)
    weights = scores.masked_fill(padding[:, None, None, :], -1e4).softmax(-1).to(x.dtype)
    mixed = (weights @ v).transpose(1, 2).reshape(batch, length, width)
    return _linear(module.linear_out, mixed)


def _convolution(module: Any, x: Tensor, padding: Tensor) -> Tensor:
    value, gate = _linear(module.pointwise_conv1, x).chunk(2, dim=-1)
    x = (value * gate.sigmoid()).masked_fill(padding[..., None], 0.0)
    kernel = module.depthwise_conv.weight.unsqueeze(2).to(x.dtype)
    x = depthwise(x.transpose(1, 2).unsqueeze(2), kernel, 1, 1)
    if module.depthwise_conv.bias is not None:
        x = x + module.depthwise_conv.bias.to(x.dtype)[:, None, None]
    norm = module.batch_norm
    norm.num_batches_tracked.add_(1 if norm.training else 0)
    x = F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps
    )
    return _linear(module.pointwise_conv2, F.silu(x.squeeze(2).transpose(1, 2)))


def _subsample(module: Any, mel: Tensor, frames: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return masked 3x3 convolutions over (time, mel) and one Linear over (channel, mel): float32 [B, T', d_model]."""
    x = mel.transpose(1, 2).unsqueeze(1).to(dtype)
    lengths = frames
    for layer in module.conv:
        if not isinstance(layer, torch.nn.Conv2d):
            x = F.relu(x)
            continue
        # The backward pass of a depthwise convolution in torch is ten times slower in bfloat16 than in float32.
        kind = torch.float32 if layer.groups > 1 else dtype
        x = _masked(x, lengths).contiguous(memory_format=torch.channels_last).to(kind)
        weight, bias = layer.weight.to(kind), cast(Tensor, layer.bias).to(kind)
        padding = cast(tuple[int, int], layer.padding)
        x = F.conv2d(x, weight, bias, layer.stride, padding, groups=layer.groups).to(dtype)
        lengths = (lengths + 2 * padding[0] - layer.kernel_size[0]) // layer.stride[0] + 1
    return _linear(module.out, _masked(x, lengths).transpose(1, 2).flatten(2)).float(), lengths


def _masked(x: Tensor, lengths: Tensor) -> Tensor:
    """Return x [B, C, T, F] with zeros from frame ``lengths`` [B] on."""
    return x * (torch.arange(x.shape[2])[None, :] < lengths[:, None])[:, None, :, None]
