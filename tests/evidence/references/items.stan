// als_items: cumulative logit for 12 items, one latent line of each patient.
data {
  int<lower=1> n;
  int<lower=1> visits;
  int<lower=1> n_items;
  int<lower=1> subject[visits];
  vector[visits] month;
  int<lower=1, upper=5> answer[visits, n_items];
  vector[n] treated;
}
parameters {
  vector[n_items] third_cutpoint;
  vector<lower=0>[n_items] first_gap;
  vector<lower=0>[n_items] second_gap;
  vector<lower=0>[n_items] third_gap;
  real<lower=0> sd_level;
  real mean_slope;
  real slope_effect;
  real<lower=0> sd_slope;
  real<lower=-1, upper=1> correlation;
  vector[n] u;
  vector[n] v;
}
model {
  vector[n] slope = mean_slope + slope_effect * treated + sd_slope * (correlation * u + sqrt(1 - square(correlation)) * v);
  vector[visits] latent = sd_level * u[subject] + slope[subject] .* month;
  third_cutpoint ~ normal(-1, 2);
  first_gap ~ lognormal(0, 0.7);
  second_gap ~ lognormal(0, 0.7);
  third_gap ~ lognormal(0, 0.7);
  sd_level ~ normal(0, 1.5);
  mean_slope ~ normal(-0.15, 0.2);
  slope_effect ~ normal(0, 0.12);
  sd_slope ~ normal(0, 0.2);
  u ~ std_normal();
  v ~ std_normal();
  for (k in 1:n_items) {
    vector[4] cut;
    cut[3] = third_cutpoint[k];
    cut[2] = cut[3] - second_gap[k];
    cut[1] = cut[2] - first_gap[k];
    cut[4] = cut[3] + third_gap[k];
    answer[, k] ~ ordered_logistic(latent, cut);
  }
}
