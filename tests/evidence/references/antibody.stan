// als_antibody: the effect on the slope changes at an onset that is known to lie between two tests, or after the last visit, or never comes.
data {
  int<lower=1> n;
  int<lower=1> n_rows;
  int<lower=1> subject[n_rows];
  vector[n_rows] month;
  vector[n_rows] score;
  vector[n] treated;
  int<lower=0> n_seen;                       // patients who were found to have antibodies
  int<lower=1> seen[n_seen];
  vector<lower=0>[n_seen] lower_end;
  vector<lower=0>[n_seen] upper_end;
  int<lower=0> n_unseen;                     // treated patients who were not, up to their last visit
  vector<lower=0>[n_unseen] last_test;
}
parameters {
  real mean_level;
  real<lower=0> sd_level;
  real mean_slope;
  real<lower=0> sd_slope;
  real<lower=-1, upper=1> correlation;
  real<lower=0> sd_residual;
  real effect_before;
  real effect_after;
  real<lower=0, upper=1> share_converting;
  real<lower=0> median_onset;
  real<lower=0> onset_shape;
  vector<lower=0, upper=1>[n_seen] place;    // of the onset within its interval: uniform but for the density below
  vector[n] level;
  vector[n] slope;
}
model {
  real scale = median_onset / pow(log(2), 1 / onset_shape);
  vector[n_seen] onset = lower_end + place .* (upper_end - lower_end);
  vector[n] change_at = rep_vector(1e6, n);
  change_at[seen] = onset;

  mean_level ~ normal(38, 10);
  sd_level ~ normal(0, 8);
  mean_slope ~ normal(-1, 1);
  sd_slope ~ std_normal();
  sd_residual ~ lognormal(0.6, 0.5);
  effect_before ~ normal(0, 0.5);
  effect_after ~ normal(0, 0.5);
  median_onset ~ lognormal(1, 1);
  onset_shape ~ lognormal(0.3, 0.5);

  target += n_seen * log(share_converting) + weibull_lpdf(onset | onset_shape, scale);
  for (i in 1:n_unseen)
    target += log_mix(share_converting, weibull_lccdf(last_test[i] | onset_shape, scale), 0);

  level ~ normal(mean_level, sd_level);
  slope ~ normal(mean_slope + correlation * sd_slope / sd_level * (level - mean_level), sd_slope * sqrt(1 - square(correlation)));
  for (r in 1:n_rows) {
    int i = subject[r];
    real gained = effect_before * fmin(month[r], change_at[i]) + effect_after * fmax(month[r] - change_at[i], 0);
    score[r] ~ normal(level[i] + slope[i] * month[r] + treated[i] * gained, sd_residual);
  }
}
