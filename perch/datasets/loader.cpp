#include <algorithm>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>
#include <perch/core/profile.h>
#include <perch/core/random.h>
#include <perch/datasets/loader.h>

namespace perch {
namespace {

/// How one image moves: out(y, x) = in(y + dy, x + dx), zero outside; mirrored before that.
struct Move {
  std::int64_t dy = 0, dx = 0;
  bool flip = false;
};

Move random_move(const Augmentation& augmentation, const Random& random, std::uint64_t image) {
  constexpr std::uint64_t draws_per_image = 4;
  const std::int64_t padding = augmentation.crop_padding;
  const auto shift = [&](std::uint64_t draw) {
    const auto places = static_cast<std::uint64_t>(2 * padding + 1);
    return static_cast<std::int64_t>(random.bits(image * draws_per_image + draw) * places >> 32) -
           padding;
  };
  return {shift(0), shift(1),
          augmentation.flip && (random.bits(image * draws_per_image + 2) & 1) != 0};
}

void move_image(const float* in, const Shape& shape, const Move& move, float* out) {
  const std::int64_t height = shape[0], width = shape[1], channels = shape[2];
  const std::int64_t first = std::max<std::int64_t>(0, -move.dx);
  const std::int64_t last = std::min(width, width - move.dx);
  for (std::int64_t y = 0; y < height; ++y, out += width * channels) {
    const std::int64_t row = y + move.dy;
    if (row < 0 || row >= height) {
      std::fill_n(out, width * channels, 0.0f);
      continue;
    }
    const float* const source = in + row * width * channels;
    std::fill_n(out, first * channels, 0.0f);
    std::fill(out + last * channels, out + width * channels, 0.0f);
    if (!move.flip) {
      std::copy_n(source + (first + move.dx) * channels, (last - first) * channels,
                  out + first * channels);
      continue;
    }
    for (std::int64_t x = first; x < last; ++x) {
      const float* const pixel = source + (width - 1 - x - move.dx) * channels;
      for (std::int64_t c = 0; c < channels; ++c) out[x * channels + c] = pixel[c];
    }
  }
}

}  // namespace

struct Loader::Impl {
  Impl(Dataset data, const LoaderOptions& loader_options);
  ~Impl();

  void start(std::int64_t epoch, std::int64_t batch);
  bool next(Batch& batch);
  std::int64_t batches() const { return (dataset.size() - 1) / options.batch_size + 1; }

 private:
  enum class State { idle, wanted, ready };

  void work();
  void prepare(std::int64_t index, Batch& batch);

  const Dataset dataset;
  const LoaderOptions options;
  std::vector<std::uint32_t> order;  // empty: as stored
  std::uint32_t epoch_number = 0;
  Tensor image;  // one image before it is moved

  std::mutex mutex;
  std::condition_variable changed;
  State state = State::idle;
  bool stopping = false;
  std::int64_t upcoming = 0;  // the batch in `prepared`, or on its way there
  Batch prepared;             // the worker's while wanted, else the caller's
  std::exception_ptr error;
  std::thread worker;
};

Loader::Impl::Impl(Dataset data, const LoaderOptions& loader_options)
    : dataset(std::move(data)), options(loader_options) {
  PERCH_CHECK(dataset.size() > 0, "loader: the dataset is empty");
  PERCH_CHECK(dataset.size() <= std::numeric_limits<std::uint32_t>::max(),
              "loader: {} images are more than 2^32 - 1", dataset.size());
  PERCH_CHECK(options.batch_size >= 1, "loader: batch size {} is below 1", options.batch_size);
  const Augmentation& augmentation = options.augmentation;
  if (!augmentation.any() && augmentation.crop_padding == 0) return;
  const Shape& shape = dataset.image_shape();
  PERCH_CHECK(shape.rank() == 3, "loader: augmentation needs images of [H, W, C], not {}",
              shape.to_string());
  PERCH_CHECK(
      augmentation.crop_padding >= 0 && augmentation.crop_padding < std::min(shape[0], shape[1]),
      "loader: crop padding {} does not go with images of {}; give 0 to {}",
      augmentation.crop_padding, shape.to_string(), std::min(shape[0], shape[1]) - 1);
  image = Tensor(shape);
}

Loader::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  if (worker.joinable()) worker.join();
}

void Loader::Impl::start(std::int64_t epoch, std::int64_t batch) {
  PERCH_CHECK(batch >= 0 && batch < batches(), "loader: batch {} is outside [0, {})", batch,
              batches());
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return state != State::wanted; });
  epoch_number = static_cast<std::uint32_t>(epoch);
  if (options.shuffle) {
    order = Random(options.seed, "loader.order", epoch_number)
                .permutation(static_cast<std::uint32_t>(dataset.size()));
  }
  error = nullptr;
  upcoming = batch;
  if (!worker.joinable()) worker = std::thread([this] { work(); });
  state = State::wanted;
  changed.notify_all();
}

bool Loader::Impl::next(Batch& batch) {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return state != State::wanted; });
  if (state == State::idle) return false;
  state = State::idle;
  if (error) std::rethrow_exception(std::exchange(error, nullptr));
  std::swap(batch, prepared);
  if (++upcoming < batches()) {
    state = State::wanted;
    changed.notify_all();
  }
  return true;
}

void Loader::Impl::work() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return stopping || state == State::wanted; });
    if (stopping) return;
    lock.unlock();
    std::exception_ptr caught;
    try {
      const ProfileScope scope("data", "", "prepare a batch");
      prepare(upcoming, prepared);
    } catch (...) {
      caught = std::current_exception();
    }
    lock.lock();
    error = caught;
    state = State::ready;
    changed.notify_all();
  }
}

void Loader::Impl::prepare(std::int64_t index, Batch& batch) {
  const std::int64_t begin = index * options.batch_size;
  const std::int64_t count = std::min(options.batch_size, dataset.size() - begin);
  const Shape shape = dataset.image_shape().batched(count);
  // The tensor that the caller handed back may live on in a graph.
  if (!batch.images.unique() || batch.images.shape() != shape) batch.images = Tensor(shape);
  batch.labels.resize(static_cast<std::size_t>(count));

  const Random random(options.seed, "loader.augmentation", epoch_number);
  const std::int64_t pixels = dataset.image_shape().size();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t source =
        order.empty() ? begin + i : std::int64_t{order[static_cast<std::size_t>(begin + i)]};
    batch.labels[static_cast<std::size_t>(i)] = dataset.label(source);
    float* const out = batch.images.data() + i * pixels;
    if (options.augmentation.any()) {
      dataset.read(source, image.data());
      move_image(image.data(), dataset.image_shape(),
                 random_move(options.augmentation, random, static_cast<std::uint64_t>(source)),
                 out);
    } else {
      dataset.read(source, out);
    }
  }
}

Loader::Loader(Dataset dataset, const LoaderOptions& options)
    : impl_(std::make_unique<Impl>(std::move(dataset), options)) {}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

std::int64_t Loader::batches() const {
  return impl_->batches();
}
void Loader::start(std::int64_t epoch, std::int64_t batch) {
  impl_->start(epoch, batch);
}
bool Loader::next(Batch& batch) {
  throw_if_interrupted();
  return impl_->next(batch);
}

}  // namespace perch
