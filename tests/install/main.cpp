#include <mlx_encoder/encoder.h>
#include <mlx_encoder/error.h>

#include <cstdio>

int main(int, char** argv) try {
  const auto encoder = mlxe::Encoder::load(argv[1]);
  const mlxe::Vectors v = encoder.embed({"The sky is blue.", "What colour is the sky?"});
  std::printf("%lld %.4f\n", static_cast<long long>(v.columns), mlxe::cosine(v.row(0), v.row(1)));
} catch (const mlxe::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return mlxe::exit_status(e.code());
}
