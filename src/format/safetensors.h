// safetensors: https://github.com/huggingface/safetensors#format. One file, or the shards that an index.json names.
#pragma once

#include "base/error.h"
#include "format/tensor.h"

struct xn_safetensors;

// Opens a .safetensors file or a .safetensors.index.json with its shards. dtypes map to enum xn_type (BF16, F16, F32,
// F64, I8, I16, I32, I64; U8, whose bytes hold packed weights, is XN_I8 too); U16/F8_E4M3/F8_E5M2/BOOL and unknown
// dtypes are kept out of the tensor list unless asked for, where the error names them.
int xn_safetensors_open(const char *path, struct xn_safetensors **out, struct xn_error *err);
// The same of one file that lies in memory, which must outlive *out; `name` stands for the file in messages.
int xn_safetensors_open_memory(const void *data, size_t size, const char *name, struct xn_safetensors **out,
                               struct xn_error *err);
void xn_safetensors_relax(const struct xn_safetensors *st); // the files' pages may leave memory
void xn_safetensors_close(struct xn_safetensors *st);       // accepts NULL
size_t xn_safetensors_n_tensors(const struct xn_safetensors *st);
const struct xn_tensor *xn_safetensors_tensor_at(const struct xn_safetensors *st, size_t i);
const struct xn_tensor *xn_safetensors_tensor(const struct xn_safetensors *st, const char *name);
// As xn_safetensors_tensor, but an error where there is none: it says whether the tensor is absent or has a dtype or a
// number of dimensions that is not supported.
int xn_safetensors_require(const struct xn_safetensors *st, const char *name, const struct xn_tensor **out,
                           struct xn_error *err);
