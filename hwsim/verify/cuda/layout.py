"""Where the elements of a product lie: packing to bytes, fragments of threads, images of shared memory.

All matrix instructions here read 32 bytes of K from every row whatever the format, so one layout in bytes serves FP16
and FP4 alike (PTX ISA 9.1, sections on the fragments of ``mma``, the matrices of ``wgmma`` and ``tcgen05`` in shared
memory, and scale factors). What a kernel gets is in this order already; it only copies, multiplies and stores.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.verify.cuda.kernels import WIDTHS, Kernel, Product

Words: TypeAlias = NDArray[np.uint32]
Bytes: TypeAlias = NDArray[np.uint8]

ROW_BYTES = 32


def pack_rows(product: Product, form: str, codes: NDArray[Any]) -> Bytes:
    """The 32 bytes of every row: codes ``[tiles, rows, k]`` of format `form` to uint8 ``[tiles, rows, 32]``.

    Raises:
        ArgumentError: another number of elements in a row.
    """
    if codes.ndim != 3 or codes.shape[2] != product.k:
        raise ArgumentError(
            f"codes must be [tiles, rows, {product.k}]", got=codes.shape, where="verify.cuda.pack_rows"
        )
    width = WIDTHS[form]
    if width >= 8:
        return np.ascontiguousarray(codes).view(np.uint8)
    if product.box == "byte":
        boxed: Bytes = codes.astype(np.uint8) << np.uint8(2 if form == "e2m1" else 0)
        return boxed
    if product.box == "plain":
        pairs: Bytes = codes[..., 0::2] | codes[..., 1::2] << np.uint8(4)
        return pairs
    tiles, rows, _ = codes.shape
    bits = np.unpackbits(codes.astype(np.uint8)[..., None], axis=-1, count=width, bitorder="little")
    packed = np.packbits(bits.reshape(tiles, rows, 2, 16 * width), axis=-1, bitorder="little")
    boxes = np.zeros((tiles, rows, 2, 16), np.uint8)
    boxes[..., : 2 * width] = packed
    return boxes.reshape(tiles, rows, ROW_BYTES)


def _row_words(rows: Bytes) -> Words:
    return np.ascontiguousarray(rows).view("<u4")


def fragments_a(rows: Bytes) -> Words:
    """Registers of A for ``mma``: rows ``[tiles, 16, 32]`` to words ``[tiles, 4, 32]``, register by lane."""
    lane, register = np.arange(32)[None, :], np.arange(4)[:, None]
    return _row_words(rows)[:, register % 2 * 8 + lane // 4, register // 2 * 4 + lane % 4]


def fragments_b(rows: Bytes) -> Words:
    """Registers of B for ``mma``: rows ``[tiles, 8, 32]`` to words ``[tiles, 2, 32]``."""
    lane, register = np.arange(32)[None, :], np.arange(2)[:, None]
    return _row_words(rows)[:, lane // 4 + 0 * register, register * 4 + lane % 4]


def core_matrices(rows: Bytes) -> Words:
    """The image in shared memory: eight rows of 16 bytes are a core matrix, two of them follow each other."""
    tiles, count, _ = rows.shape
    cores = rows.reshape(tiles, count // 8, 8, 2, 16).swapaxes(2, 3)
    return _row_words(np.ascontiguousarray(cores).reshape(tiles, -1))


def _places(product: Product) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of every result, in the order ``[register, thread, half]``; one half for 32-bit results."""
    halves = 2 if product.out == "fp16" else 1
    register, thread, half = np.ix_(np.arange(4 // halves), np.arange(32 * (product.m // 16)), np.arange(halves))
    element = register * halves + half  # of the four that a thread has of each 16 x 8 results
    row = thread // 32 * 16 + element // 2 * 8 + thread % 32 // 4
    return row + 0 * element, thread % 4 * 2 + element % 2


def pack_results(kernel: Kernel, values: NDArray[Any]) -> Words:
    """C ``[tiles, m, n]`` (float32, float16 or int32) as words in the order of the kernel."""
    product = _product(kernel)
    if kernel.file == "tcgen05.cu":
        word: type[np.unsignedinteger[Any]] = np.uint16 if product.out == "fp16" else np.uint32
        return values.view(word).astype(np.uint32)
    return np.ascontiguousarray(values[:, *_places(product)]).view(np.uint32)[..., 0]


def unpack_results(kernel: Kernel, words: Words) -> NDArray[Any]:
    """The inverse of `pack_results`."""
    product = _product(kernel)
    dtype = np.dtype({"fp32": np.float32, "fp16": np.float16, "int32": np.int32}[product.out])
    if kernel.file == "tcgen05.cu":
        shaped = words.reshape(-1, product.m, product.n)
        return shaped.astype(np.uint16).view(dtype) if product.out == "fp16" else shaped.view(dtype)
    row, column = _places(product)
    values = np.empty((words.size // (row.size * dtype.itemsize // 4), product.m, product.n), dtype)
    values[:, row, column] = np.ascontiguousarray(words).view(dtype).reshape(-1, *row.shape)
    return values


def pack_scales(kernel: Kernel, scales: Bytes, side: str) -> Words:
    """Scale bytes ``[tiles, rows, scales]`` of ``"a"`` or ``"b"``: one word a row, in the order of the kernel."""
    tiles, count, width = scales.shape
    words = np.zeros((tiles, count, 4), np.uint8)
    words[..., :width] = scales
    row_words = words.view("<u4")[..., 0]
    lane = np.arange(32)
    if kernel.file == "mma.cu":  # thread and byte selectors are zero
        return row_words[:, lane % 2 * 8 + lane // 4] if side == "a" else row_words[:, lane // 4]
    return row_words if side == "a" else np.pad(row_words, ((0, 0), (0, 32 - count)))


def _product(kernel: Kernel) -> Product:
    assert kernel.product is not None, f"{kernel.name} multiplies no matrices"
    return kernel.product


def pack(
    kernel: Kernel,
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any],
    scale_a: Bytes | None = None,
    scale_b: Bytes | None = None,
) -> tuple[Words, Words, Words, Words, Words]:
    """The five inputs: codes a ``[tiles, m, k]``, b ``[tiles, n, k]``, c ``[tiles, m, n]``, scale bytes."""
    product = _product(kernel)
    rows_a, rows_b = pack_rows(product, product.a, a), pack_rows(product, product.b, b)
    if kernel.file == "mma.cu":
        words_a, words_b = fragments_a(rows_a), fragments_b(rows_b)
    else:
        words_a, words_b = core_matrices(rows_a), core_matrices(rows_b)
    nothing = np.zeros(1, np.uint32)
    words_sa = nothing if scale_a is None else pack_scales(kernel, scale_a, "a")
    words_sb = nothing if scale_b is None else pack_scales(kernel, scale_b, "b")
    return words_a, words_b, pack_results(kernel, c), words_sa, words_sb


def swizzle_scales(scales: Bytes) -> Bytes:
    """Scale bytes ``[rows, columns]`` as cuBLAS reads them: flat, 512 bytes a tile of 128 rows and 4 columns.

    Rows are padded to 128 and columns to 4 with zeros. In a tile, row r and column c lie at
    ``r % 32 * 16 + r // 32 * 4 + c`` (cuBLAS, "1D block scaling factors layout").
    """
    rows, columns = scales.shape
    padded = np.pad(scales, ((0, -rows % 128), (0, -columns % 4)))
    tiles = padded.reshape(padded.shape[0] // 128, 4, 32, padded.shape[1] // 4, 4)  # tile, r // 32, r % 32, tile, c
    return np.ascontiguousarray(tiles.transpose(0, 3, 2, 1, 4)).reshape(-1)
