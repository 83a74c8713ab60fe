// What a batch or an epoch came to. For the Trainer's sources.
#pragma once

#include <perch/train/trainer.h>

namespace perch {

/// Of one batch.
struct Trainer::Score {
  Variable loss;
  std::int64_t correct = 0;
};

}  // namespace perch
