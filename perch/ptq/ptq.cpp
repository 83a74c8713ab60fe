#include <perch/layers/spec.h>
#include <perch/ptq/parts.h>
#include <perch/ptq/ptq.h>

namespace perch {

PtqReport quantize_after_training(Model& model, const QuantRules& rules, const Dataset& data,
                                  const PtqOptions& options) {
  const std::int64_t images = options.calibrate.images, batch_size = options.calibrate.batch_size;
  check_images("quantize_after_training", model, data, images, batch_size);
  PtqReport report;
  if (options.equalise) report.equalisation = equalise(model, *options.equalise);
  std::unique_ptr<Model> reference;
  if (options.adaround || options.bias_correction) reference = clone_model(model);

  apply_rules(model, rules);
  calibrate(model, data, options.calibrate);
  if (options.adaround) {
    AdaRoundOptions adaround_options = *options.adaround;
    adaround_options.images = images;
    report.adaround = adaround(model, *reference, data, adaround_options);
  }
  if (options.bias_correction) {
    report.bias_correction =
        correct_biases(model, *reference, data, {.images = images, .batch_size = batch_size});
  }
  return report;
}

}  // namespace perch
