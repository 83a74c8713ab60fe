// Two classifiers on the same images.
#pragma once

#include <cstdint>

namespace perch::statistics {

/// Images that exactly one of two classifiers gets right.
struct Discordant {
  std::int64_t first_only, second_only;
};

/// McNemar's exact test: the two-sided probability of counts at least as uneven if both were
/// equally good, twice the smaller tail of Binomial(first_only + second_only, 1/2), at most 1.
/// Throws Error(usage) for negative counts.
double mcnemar_exact(const Discordant& counts);

/// Images that McNemar's test needs to see a difference of accuracies of `difference` where
/// classifiers disagree on a share `discordant` of them: 5 % two-sided, power 80 % (Connor, "Sample
/// size for testing differences in proportions for the paired-sample design", 1987). Throws
/// Error(usage) unless 0 < difference <= discordant <= 1.
std::int64_t images_needed(double discordant, double difference);

}  // namespace perch::statistics
