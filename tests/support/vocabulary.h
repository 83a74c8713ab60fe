// A few options of each kind, for tests and fuzzing of experiments without the command line.
#pragma once

#include <perch/experiments/command.h>

namespace perch::test {

inline experiments::Vocabulary vocabulary() {
  const SettingKey epochs{.name = "epochs", .kind = SettingKind::integer},
      bits{.name = "weight_bits", .kind = SettingKind::integer, .quantization = true},
      quantizer{.name = "quantizer", .quantization = true},
      range{.name = "weight_range",
            .kind = SettingKind::number,
            .count = SettingCount::words,
            .quantization = true},
      augment{.name = "augment", .kind = SettingKind::flag},
      width{.name = "width", .kind = SettingKind::number},
      granularity = key_of(*find_flag_setting("granularity")),
      levels = key_of(*find_flag_setting("levels"));
  return {.train = {epochs, bits, quantizer, range, augment, width, granularity, levels},
          .quantize = {bits,
                       quantizer,
                       range,
                       granularity,
                       levels,
                       {.name = "equalise", .kind = SettingKind::flag}}};
}

}  // namespace perch::test
