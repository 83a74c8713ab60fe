#include <perch/core/check.h>
#include <perch/ptq/calibrate.h>
#include <perch/ptq/parts.h>
#include <perch/ptq/pass.h>

namespace perch {

void calibrate(Model& model, const Dataset& data, const CalibrateOptions& options) {
  check_images("calibrate", model, data, options.images, options.batch_size);
  PERCH_CHECK(quantizers_of(model).any(),
              "calibrate: the model has no quantizer; quantize it first");
  run_passes(model, data, options.images, options.batch_size,
             {.observe_weights = true, .observe_activations = true});
}

}  // namespace perch
