#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>

#include <perch/core/check.h>
#include <perch/datasets/sha256.h>

namespace perch::datasets {
namespace {

void check(bool good) {
  if (!good) fail(ErrorCode::failure, "OpenSSL cannot compute SHA-256");
}

}  // namespace

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(state_->context && EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

void Sha256::add(const void* data, std::size_t count) {
  check(EVP_DigestUpdate(state_->context.get(), data, count) == 1);
}

std::string Sha256::digits() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned length = 0;
  check(EVP_DigestFinal_ex(state_->context.get(), bytes.data(), &length) == 1);
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string sha256_of(std::string_view text) {
  Sha256 digest;
  digest.add(text.data(), text.size());
  return digest.digits();
}

}  // namespace perch::datasets
