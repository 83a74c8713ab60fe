#include "data_checksum.h"

#include <perch/datasets/sha256.h>

std::string data_checksum(const perch::TrainTest& data) {
  using perch::checksum;
  const std::string test = data.test.size() > 0 ? checksum(data.test) : std::string();
  return perch::datasets::sha256_of(checksum(data.train) + test).substr(0, 16);
}
