#include <perch/core/kernels/conv_dense_channels.h>
#include <perch/core/kernels/conv_depthwise.h>
#include <perch/core/kernels/conv_winograd.h>

namespace perch::kernels::PERCH_ARCH {

extern const ConvKernels conv;
const ConvKernels conv{lanes,           filter_vectors,    forward,
                       weight_gradient, depthwise_forward, depthwise_weight_gradient,
                       column_sums,     winograd_source,   winograd_gradient,
                       winograd_result};

}  // namespace perch::kernels::PERCH_ARCH
